/** The page as text: scripts/page.ts makes it of page/. */
export declare const page: string;
export declare const script: string;
export declare const style: string;
