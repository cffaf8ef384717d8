/** The colours of curves. */

/** Okabe & Ito's colours, which those see apart too who see fewer; lighter ones on dark ground. */
export const palettes = {
  light: ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#8a6d00', '#56b4e9', '#444444', '#e69f00'],
  dark: ['#56b4e9', '#f0834a', '#2fc79a', '#e3a3c6', '#f0e442', '#8fd0ff', '#cccccc', '#e69f00'],
};
