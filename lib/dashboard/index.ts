/**
 * A page of trainings, live.
 * @module axpy/dashboard
 */
export { type Dashboard, type DashboardOptions, dashboard } from './dashboard.ts';
