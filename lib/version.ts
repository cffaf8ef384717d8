/** The version in package.json, which a bundle leaves behind. */
export const version = '0.1.0';
