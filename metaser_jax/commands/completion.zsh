#compdef metaser
_metaser() {
    if (( CURRENT == 2 )); then
        local -a commands=(
@COMMANDS@
        )
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
@FLAGS@
    esac
}
if [[ $funcstack[1] == _metaser ]]; then
    _metaser "$@"
else
    compdef _metaser metaser
fi
