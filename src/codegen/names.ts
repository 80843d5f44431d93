/** What a language takes as a name. */
import { CodegenError } from "./error.ts";

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

const C = `auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while _Alignas
_Alignof _Atomic _Bool _Complex _Generic _Imaginary _Noreturn _Static_assert _Thread_local asm typeof`;

const CPP = `${C} alignas alignof and and_eq bitand bitor bool catch char8_t char16_t char32_t class compl concept
consteval constexpr constinit const_cast co_await co_return co_yield decltype delete dynamic_cast explicit export false
friend mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public reinterpret_cast
requires static_assert static_cast template this thread_local throw true try typeid typename using virtual wchar_t xor
xor_eq`;

const PYTHON = `False None True and as assert async await break class continue def del elif else except finally for
from global if import in is lambda nonlocal not or pass raise return try while with yield`;

/** Those that Rust does not take as r#name either. */
const RUST = "crate self super Self _";

const IMHEX = `be bool break bitfield char char16 const continue double else enum false float fn for from if import in
le match namespace null padding parent ref return signed str struct this true try union unsigned using while s8 u8 s16
u16 s32 u32 s64 u64 s128 u128 auto addressof sizeof typenameof as catch`;

/** The languages with rules of their own for names. */
export type NamedLanguage = "C" | "C++" | "Python" | "Rust" | "ImHex";

const taken: Record<NamedLanguage, ReadonlySet<string>> = {
  C: words(C),
  "C++": words(CPP),
  Python: words(PYTHON),
  Rust: words(RUST),
  ImHex: words(IMHEX),
};

const shapes: Record<NamedLanguage, RegExp> = {
  C: /^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u,
  "C++": /^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u,
  Python: /^[\p{ID_Start}_]\p{ID_Continue}*$/u,
  Rust: /^[\p{ID_Start}_]\p{ID_Continue}*$/u,
  ImHex: /^[A-Za-z_]\w*$/,
};

/** Whether the language takes the name as it is. */
export const isName = (language: NamedLanguage, name: string): boolean =>
  shapes[language].test(name) && !taken[language].has(name);

/** The name, if the language takes it. @throws CodegenError that names the member */
export function nameIn(language: NamedLanguage, name: string, path: string): string {
  if (isName(language, name)) return name;
  const why = taken[language].has(name) ? "is a keyword" : "cannot be a name";
  throw new CodegenError(path, `${JSON.stringify(name)} ${why} in ${language}`);
}
