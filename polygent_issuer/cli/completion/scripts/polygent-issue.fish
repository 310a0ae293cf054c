# Completion of polygent-issue for fish: what TAB offers, the tool itself is asked for.
# What it prints is only ever data here; fish quotes what is inserted.

function __polygent_issue_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l tool polygent-issue
    if string match -q -- '*/*' $words[1]
        set tool (string replace -r -- '^~/' "$HOME/" $words[1])
    end
    set -l lines ($tool __complete fish $words[2..-1] "$word" 2>/dev/null </dev/null)
    set -l kind (string split -m 1 \t -- $lines[1])
    switch "$kind[1]"
        case files folders
            set -l before "$kind[2]"
            set -l path (string sub -s (math 1 + (string length -- "$before")) -- "$word")
            # '' is no command, so that fish offers files; it runs nothing that stands in the path.
            for line in (complete -C "'' $path")
                if test $kind[1] = files; or string match -q -- '*/' $line
                    printf '%s%s\n' "$before" "$line"
                end
            end
        case '*'
            test (count $lines) -gt 1; and printf '%s\n' $lines[2..-1]
    end
end

complete -c polygent-issue -f -k -a '(__polygent_issue_complete)'
