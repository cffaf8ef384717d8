/** The x of A x = b, by elimination with row exchanges. A is square, its rows are arrays. */
export function solve(a: readonly (readonly number[])[], b: readonly number[]): number[] {
  const rows = a.map((row, i) => [...row, b[i]]);
  const n = rows.length;
  for (let k = 0; k < n; k++) {
    const pivot = rows.slice(k).reduce((best, row) => (Math.abs(row[k]) > Math.abs(best[k]) ? row : best));
    rows.splice(rows.indexOf(pivot, k), 1);
    rows.splice(k, 0, pivot);
    for (const row of rows.slice(k + 1)) {
      const factor = row[k] / pivot[k];
      for (let j = k; j <= n; j++) row[j] -= factor * pivot[j];
    }
  }
  const x = Array<number>(n).fill(0);
  for (let k = n - 1; k >= 0; k--) {
    const known = rows[k].slice(k + 1, n).reduce((sum, value, j) => sum + value * x[k + 1 + j], 0);
    x[k] = (rows[k][n] - known) / rows[k][k];
  }
  return x;
}
