import { type Command, define, UsageError } from "../command.ts";
import { escapeText } from "../output.ts";

/** Each asks `shmstruct __complete` with the words up to the cursor. */
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `_shmstruct() {
  local IFS=$'\\n'
  COMPREPLY=($(shmstruct __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [[ \${COMPREPLY[0]} == */ || \${COMPREPLY[0]} == *. ]] && compopt -o nospace
}
complete -o default -F _shmstruct shmstruct
`,
  zsh: `#compdef shmstruct
_shmstruct() {
  local -a found
  found=("\${(@f)$(shmstruct __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n $found[1] ]]; then compadd -- $found; else _files; fi
}
compdef _shmstruct shmstruct
`,
  fish: `complete -c shmstruct -f -a '(shmstruct __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
};

export const command: Command = define({
  args: "bash | zsh | fish",
  count: [1, 1],
  details: "Prints a script for the shell that completes commands, options, segments and field paths.",
  options: {},
  examples: [
    "source <(shmstruct completion bash)",
    "shmstruct completion fish > ~/.config/fish/completions/shmstruct.fish",
  ],
  run([shell = ""], _, out) {
    const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
    if (script === undefined) throw new UsageError(`expected bash, zsh or fish, got '${escapeText(shell)}'`);
    if (out.isJson) out.json({ shell, script });
    else out.write(script);
    return undefined;
  },
});
