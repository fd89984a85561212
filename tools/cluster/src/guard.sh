# Runs one server as a child, and ends it when standard input closes: the kernel closes it when our owner ends, however that happens.
# usage: guard.sh LOG PIDFILE FOLDER_TO_REMOVE_OR_EMPTY COMMAND...
# Standard output closes when the server has ended (only the server holds it). Standard input takes orders, one a line:
# a signal's name for the server; `keep`: do not remove the folder; `end`: report the status of the server, which has ended.
log=$1 pidfile=$2 remove=$3
shift 3
# Should this shell itself be killed with -9, the kernel kills the server too (Linux with util-linux).
die=
if setpriv --pdeathsig KILL true >/dev/null 2>&1; then die='setpriv --pdeathsig KILL'; fi
$die "$@" 3>&1 </dev/null >>"$log" 2>&1 &
server=$!
exec >/dev/null
echo "$server" >"$pidfile"
while read -r order; do
  case $order in
    keep) remove= ;;
    end) wait "$server"; exit ;;
    *) kill -"$order" "$server" ;;
  esac
done
kill -KILL "$server"
wait "$server"
if [ -n "$remove" ]; then rm -rf "$remove"; fi
# What the server started (compilers of `go build`) is in our process group, and so are we.
kill -KILL 0
