/** `axpy/dashboard`: a page of trainings, live. */
export { type Dashboard, type DashboardOptions, dashboard } from './dashboard.ts';
