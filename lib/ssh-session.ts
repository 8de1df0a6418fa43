/**
 * `session`: prints the process of sshd that carries this connection and nothing else: its channels, and the sockets that it
 * forwards. It is the first sshd above us; the one that listens never is, and says what it is. Where /proc hides the
 * processes of others (hidepid), the first that is hidden and may be ended by us is it.
 */
export const SESSION = `session() {
  pid=$$
  while [ "$pid" -gt 1 ]; do
    name= parent=
    while read -r key value rest; do
      case $key in Name:) name=$value ;; PPid:) parent=$value; break ;; esac
    done <"/proc/$pid/status"
    case $name in
      dropbear) echo "$pid"; return ;;
      sshd | sshd-session)
        case $(tr '\\0' '\\n' <"/proc/$pid/cmdline" | head -n 1) in *listener*) return 1 ;; sshd*@*) echo "$pid"; return ;; esac
        return 1 ;;
      '') [ "$(id -u)" != 0 ] && kill -0 "$pid" && echo "$pid"; return ;;
    esac
    pid=$parent
  done 2>/dev/null
  return 1
}`
