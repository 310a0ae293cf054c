# Completion of polygent-issue for bash: what TAB offers, the tool itself is asked for.
# What it prints is only ever data here, and quoted by the tool already.

_polygent_issue() {
    local tool=polygent-issue kind='' line
    if [[ $1 == */* ]]; then
        tool=${1/#\~\//$HOME/}
    fi
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -z $kind ]]; then
            kind=$line
        else
            COMPREPLY+=("$line")
        fi
    done < <("$tool" __complete bash "${COMP_TYPE:-9}" "${COMP_LINE:0:COMP_POINT}" "$2" \
        2>/dev/null </dev/null)
    case $kind in
        open*) compopt -o nospace ;;
        files*) compopt -o default ;;
        folders*) compopt -o dirnames ;;
    esac 2>/dev/null
}

complete -F _polygent_issue polygent-issue
