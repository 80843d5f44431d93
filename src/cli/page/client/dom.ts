/** Elements are made here, and text only ever becomes text. */

interface Parts {
  readonly class?: string;
  readonly text?: string;
  readonly title?: string;
  readonly children?: readonly Node[];
  readonly onclick?: (event: MouseEvent) => void;
}

/** @example make("button", { class: "tab", text: "Values" }) */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  { class: className, text, title, children = [], onclick }: Parts = {},
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className !== undefined) element.className = className;
  if (text !== undefined) element.textContent = text;
  if (title !== undefined) element.title = title;
  if (onclick !== undefined) (element as HTMLElement).addEventListener("click", onclick);
  element.append(...children);
  return element;
}

/** A search field. */
export function searchField(
  label: string,
  placeholder: string,
  oninput: (text: string) => void,
): HTMLInputElement {
  const input = make("input", { class: "search" });
  input.type = "search";
  input.placeholder = placeholder;
  input.spellcheck = false;
  input.setAttribute("aria-label", label);
  input.addEventListener("input", () => oninput(input.value.trim().toLowerCase()));
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    input.value = "";
    oninput("");
    input.blur();
  });
  return input;
}

/** Control characters and marks of text direction are shown, so that a name looks like what it is. */
export const visible = (text: string): string =>
  text.replace(
    /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

const UNITS = ["B", "KiB", "MiB", "GiB"];

export function bytesText(bytes: number): string {
  let unit = 0;
  let size = bytes;
  for (; size >= 1024 && unit < UNITS.length - 1; unit++) size /= 1024;
  return `${Number.isInteger(size) ? size : size.toFixed(1)} ${UNITS[unit]}`;
}

/** As often as the screen is drawn, and only when something has changed. */
export function onceAFrame(draw: () => void): () => void {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      draw();
    });
  };
}
