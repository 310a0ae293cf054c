#compdef polygent-issue
# Completion of polygent-issue for zsh: what TAB offers, the tool itself is asked for.
# What it prints is only ever data here; compadd quotes what is inserted.

_polygent_issue() {
  local tool=polygent-issue line value kind before
  local -a lines values told ending
  integer width=0
  if [[ $words[1] == */* ]]; then
    tool=${words[1]/#\~\//$HOME/}
  fi
  lines=("${(@f)$("$tool" __complete zsh "${(@Q)words[2,CURRENT-1]}" "$PREFIX" \
    2>/dev/null </dev/null)}")
  kind=${lines[1]%%$'\t'*}
  before=${lines[1]#$kind}
  before=${before#$'\t'}
  case $kind in
    (files|folders)
      compset -p ${#before}
      if [[ $kind == folders ]]; then
        _files -/
      else
        _files
      fi
      return
      ;;
    (open) ending=(-S '') ;;
  esac
  for line in "${(@)lines[2,-1]}"; do
    value=${line%%$'\t'*}
    (( ${#value} > width )) && width=${#value}
  done
  for line in "${(@)lines[2,-1]}"; do
    value=${line%%$'\t'*}
    values+=("$value")
    if [[ $line == *$'\t'* ]]; then
      told+=("${(r:width:)value}  -- ${line#*$'\t'}")
    else
      told+=("$value")
    fi
  done
  (( $#values )) && compadd -V polygent-issue -l -d told "${(@)ending}" -a values
}

if [[ $funcstack[1] == _polygent-issue ]]; then
  _polygent_issue "$@"
else
  compdef _polygent_issue polygent-issue
fi
