import type { ReactElement } from "react";

function icon(path: string, strokeWidth = 1.75): () => ReactElement {
  return () => (
    <svg
      className="icon" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" fill="none" stroke="currentColor"
      strokeWidth={strokeWidth} strokeLinecap="round" strokeLinejoin="round"
    >
      <path d={path} />
    </svg>
  );
}

export const BackIcon = icon("M15 5l-7 7 7 7");
export const ChatIcon = icon("M4 6.5a2 2 0 0 1 2-2h12a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-7l-4.5 3.5v-3.5H6a2 2 0 0 1-2-2z");
export const CheckIcon = icon("M5 12.5l4.5 4.5L19 7.5");
export const CloseIcon = icon("M6 6l12 12M18 6L6 18");
export const CloudOffIcon = icon("M4 4l16 16M8.2 8.2A5.5 5.5 0 0 0 7 19h10c.7 0 1.4-.2 2-.5M11 6.1a5.5 5.5 0 0 1 6.3 4.9 4 4 0 0 1 3.2 5.7");
export const DownIcon = icon("M12 5v14M6 13l6 6 6-6");
export const FlagIcon = icon("M6 21V4M6 4.5h11.5l-2.5 4 2.5 4H6");
export const HistoryIcon = icon("M4 12a8 8 0 1 0 2.6-5.9M4 4.5v4h4M12 8v4.5l3 2");
export const LaterIcon = icon("M9 5l7 7-7 7");
export const LinkIcon = icon("M10 14a4 4 0 0 0 5.7 0l3.1-3.1a4 4 0 0 0-5.7-5.7L12 6.3M14 10a4 4 0 0 0-5.7 0l-3.1 3.1a4 4 0 0 0 5.7 5.7l1.1-1.1");
export const MoreIcon = icon("M5 12h.01M12 12h.01M19 12h.01", 3);
export const PencilIcon = icon("M4 20l1-4L16.5 4.5a2.1 2.1 0 0 1 3 3L8 19z");
export const PlusIcon = icon("M12 5v14M5 12h14");
export const SendIcon = icon("M4.5 12L3.5 4.5 21 12 3.5 19.5 4.5 12zM4.5 12H12");
export const TrashIcon = icon("M4 7h16M9.5 7V4.5h5V7M6.5 7l.8 12.5h9.4L17.5 7M10 11v5M14 11v5");
export const WarningIcon = icon("M12 4L2.8 19.5h18.4zM12 10v4.5M12 17h.01");
