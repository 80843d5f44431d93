/** What the page and its server tell each other: the page imports these types, and nothing else of the library. */

/** One value as it is sent: text for what JSON has no form for, such as bigints, NaN and bytes. */
export type Value = number | string | boolean | null;

/** A segment at the left. */
export interface SegmentRow {
  readonly path: string;
  readonly name: string;
  readonly kind: string;
  readonly struct: string;
  readonly bytes: number;
  readonly version: number;
  readonly state: string;
  readonly problem: string;
}

/** One line of the tree. */
export interface Row {
  readonly path: string;
  readonly name: string;
  readonly depth: number;
  /** Empty where no schema says. */
  readonly type: string;
  /** Elements or members follow, one deeper. */
  readonly isBranch: boolean;
  /** An array of single values: one range of bytes in the layout. */
  readonly isRun?: boolean;
  /** Whether it can be plotted. */
  readonly isNumber?: boolean;
  /** Seconds since 1970. */
  readonly isTime?: boolean;
  /** Bytes from the start of the struct. */
  readonly offset?: number;
  readonly size?: number;
  /** Of a bit-field: bits from its offset, and how many. */
  readonly bits?: readonly [start: number, width: number];
  /** Of an enum: labels by the stored value. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** A message of a channel. */
export interface MessageRow {
  readonly index: number;
  readonly missed: number;
  readonly sentAt: number;
  readonly type: number;
  readonly length: number;
  readonly text: string;
}

/** From the server. `at`: when it looked, milliseconds of a clock of its own; `before`: the look that saw the old values last. */
export type ServerMessage =
  | {
      readonly do: "hello";
      readonly canWrite: boolean;
      readonly hz: number;
      readonly views: readonly string[];
    }
  | { readonly do: "segments"; readonly set: readonly SegmentRow[]; readonly gone: readonly string[] }
  | {
      readonly do: "rows";
      readonly path: string;
      readonly kind: string;
      readonly struct: string;
      /** Bytes of the struct; 0 for what is no struct. */
      readonly size: number;
      readonly hasMessages: boolean;
      readonly version: number;
      readonly at: number;
      readonly rows: readonly Row[];
      readonly values: readonly Value[];
    }
  | {
      readonly do: "values";
      readonly path: string;
      readonly version: number;
      readonly at: number;
      readonly before: number;
      readonly changed: readonly (readonly [row: number, value: Value])[];
    }
  | {
      readonly do: "bytes";
      readonly path: string;
      readonly changed: readonly (readonly [offset: number, base64: string])[];
    }
  | { readonly do: "messages"; readonly path: string; readonly messages: readonly MessageRow[] }
  | { readonly do: "problem"; readonly path: string; readonly text: string };

/** From the page: what it shows. */
export type ClientMessage =
  | {
      readonly do: "watch";
      readonly path: string;
      readonly bytes: boolean;
      readonly messages: boolean;
    }
  | { readonly do: "unwatch"; readonly path: string };

/** `GET value?path=`: one committed state. */
export interface ValueAnswer {
  readonly version: number;
  readonly value: unknown;
}

/** `GET who?path=`, `GET doctor?path=`: what the command prints with --json. */
export type TableAnswer = readonly Readonly<Record<string, unknown>>[];

/** `POST set` with this body. */
export interface SetRequest {
  readonly path: string;
  readonly at: string;
  readonly text: string;
}
