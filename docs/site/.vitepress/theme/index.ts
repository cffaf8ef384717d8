/** VitePress's own theme, with formulas. */
import 'katex/dist/katex.min.css';
import DefaultTheme from 'vitepress/theme';
import './style.css';

export default DefaultTheme;
