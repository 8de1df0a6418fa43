/**
 * What `stagecraft completion <shell>` prints. Each script asks `stagecraft __complete` (complete.ts) for words, and evaluates
 * nothing of the command line or of the answer: names of services and versions are foreign text.
 */
export const SCRIPTS = {
  bash: `# Completion of stagecraft for bash. In ~/.bashrc: eval "$(stagecraft completion bash)"
_stagecraft() {
  local line out
  COMPREPLY=()
  out=$(command stagecraft __complete bash "\${COMP_LINE:0:COMP_POINT}" "$1" "$2" 2>/dev/null </dev/null) || return 0
  if [[ $out == :files ]]; then
    compopt -o default 2>/dev/null
    return 0
  fi
  while IFS= read -r line; do
    [[ -n $line ]] && COMPREPLY+=("$line")
  done <<<"$out"
}
complete -F _stagecraft stagecraft`,

  zsh: `#compdef stagecraft
# Completion of stagecraft for zsh. In ~/.zshrc, after compinit: source <(stagecraft completion zsh)
_stagecraft() {
  local line tab=$'\\t'
  local -a lines values shown
  lines=("\${(@f)$(command stagecraft __complete words "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null </dev/null)}")
  if [[ "$lines[1]" == :files ]]; then
    _files
    return
  fi
  for line in "$lines[@]"; do
    [[ -n $line ]] || continue
    values+=("\${line%%$tab*}")
    shown+=("\${line/$tab/  -- }")
  done
  compadd -l -d shown -a values
}
if [[ "$funcstack[1]" == _stagecraft ]]; then
  _stagecraft "$@"
else
  compdef _stagecraft stagecraft
fi`,

  fish: `# Completion of stagecraft for fish. As ~/.config/fish/completions/stagecraft.fish
function __stagecraft_complete
  set -l words (commandline -opc)
  set -e words[1]
  set -l current (commandline -ct)
  set -l lines (command stagecraft __complete words $words "$current" 2>/dev/null </dev/null)
  if test "$lines[1]" = :files
    __fish_complete_path "$current"
  else
    printf '%s\\n' $lines
  end
end
complete -c stagecraft -f -k -a '(__stagecraft_complete)'`,
} as const

type Shell = keyof typeof SCRIPTS
export const SHELLS = Object.keys(SCRIPTS) as [Shell, ...Shell[]]
