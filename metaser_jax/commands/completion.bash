_metaser() {
    local cur=${COMP_WORDS[COMP_CWORD]} flag= words= files=
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W "@COMMANDS@" -- "$cur"))
        return
    fi
    # Bash takes --flag=value for three words.
    if [[ $cur == = ]]; then
        flag=${COMP_WORDS[COMP_CWORD-1]} cur=
    elif [[ ${COMP_WORDS[COMP_CWORD-1]} == = ]]; then
        flag=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if [[ -n $flag ]]; then
        case "${COMP_WORDS[1]} $flag" in
@VALUES@
            *) files=1 ;;
        esac
    elif [[ $cur == -* ]]; then
        case ${COMP_WORDS[1]} in
@FLAGS@
        esac
    else
        files=1
    fi
    if [[ -n $files ]]; then
        local IFS=$'\n'
        COMPREPLY=($(compgen -f -- "$cur"))
        compopt -o filenames 2>/dev/null
    else
        COMPREPLY=($(compgen -W "$words" -- "$cur"))
        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    fi
    return 0
}
complete -F _metaser metaser
