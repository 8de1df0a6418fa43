/**
 * `session`: prints the process of sshd that carries this connection alone, with its channels and forwarded sockets: the first
 * sshd among the parents, unless it is the listening one, which its command line says. If /proc hides the processes of others
 * (hidepid), it is the first hidden parent that we may end.
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
