import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';

/**
 * Every process that runs for the engine is started here, so that none outlives it, however it ends and whatever
 * the process itself does: a signal may be ignored, and a busy loop sees nothing.
 *
 * A watcher in a session of its own reads from a pipe whose other end this process alone holds. When the pipe ends,
 * this process is gone: by SIGKILL too, also between two lines. The watcher then kills what bears the mark in its
 * environment, and all below that; again until nothing has been found three times in a row, for what is being
 * started at that moment bears the mark only a little later. Where there is no /proc (macOS), the environment of
 * others cannot be read: there it kills the children that it was told of, their process groups and all below them.
 */
const MARK = 'PERENNIAL_ENGINE';

/** How long after its end a child's output is read. */
const LAST_WORDS_MS = 2000;

/** Of this process, and of no other. */
const own = randomUUID();

/** Arguments: the mark; whether to search for it. Lines of input: `+ <pid>`, `- <pid>`. */
export const WATCHER = String.raw`
trap '' HUP INT QUIT TERM
told=' '
while read -r sign pid; do
  case $sign in
    +) told="$told$pid " ;;
    -) left=' '; for one in $told; do [ "$one" = "$pid" ] || left="$left$one "; done; told=$left ;;
  esac
done
marked() {
  if [ "$2" = search ]; then
    grep -l -a -F "$1" /proc/[0-9]*/environ 2>/dev/null | tr -c '0-9\n' ' '
  else
    for pid in $told; do echo "$pid"; done
  fi
}
parents() {
  if [ "$1" = search ]; then
    cat /proc/[0-9]*/stat 2>/dev/null | sed -n 's/^\([0-9]*\) (.*) [^Z] \([0-9]*\) .*/\1 \2/p'
  else
    ps -A -o pid= -o ppid= -o stat= | sed -n '/ Z/!s/^ *\([0-9]*\)  *\([0-9]*\).*/\1 \2/p'
  fi
}
family() {
  parents "$2" | awk -v roots="$(marked "$1" "$2" | tr '\n' ' ')" '
    BEGIN { count = split(roots, root, " "); for (i = 1; i <= count; i++) asked[root[i]] = 1 }
    { parent[$1] = $2; if ($1 in asked) found[$1] = 1 }
    END {
      do {
        more = 0
        for (pid in parent) if (!(pid in found) && (parent[pid] in found)) { found[pid] = 1; more = 1 }
      } while (more)
      for (pid in found) print pid
    }'
}
quiet=0 tries=0
while [ $quiet -lt 3 ] && [ $tries -lt 200 ]; do
  found=$(family "$1" "$2")
  if [ -z "$found" ]; then quiet=$((quiet + 1)); else quiet=0; fi
  if [ "$2" != search ]; then for pid in $told; do kill -KILL -- -"$pid" 2>/dev/null; done; fi
  for pid in $found; do kill -KILL "$pid" 2>/dev/null; done
  tries=$((tries + 1))
  sleep 0.1
done`;

let watcher: ChildProcess | undefined;

/** Starts a process that ends with this one, at the latest. It leads a process group of its own. */
export function startChild(program: string, words: readonly string[], options: SpawnOptions): ChildProcess {
  watcher ??= watch();
  const env = { ...(options.env ?? process.env), [MARK]: own };
  const child = spawn(program, words, { ...options, env, detached: true });
  if (child.pid !== undefined) tell(`+ ${child.pid}`);
  child.once('exit', () => {
    tell(`- ${child.pid}`);
    // what it left behind may hold its output open: nobody is to wait for that
    setTimeout(() => [child.stdout, child.stderr].forEach((stream) => void stream?.destroy()), LAST_WORDS_MS).unref();
  });
  return child;
}

/** Kills a child, and what else is in its process group. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL'); // the group is empty, or is none yet
  }
}

function watch(): ChildProcess {
  const words = [
    '-c',
    WATCHER,
    'perennial-watcher',
    `${MARK}=${own}`,
    process.platform === 'linux' ? 'search' : 'told',
  ];
  const { [MARK]: _, ...env } = process.env;
  const started = spawn('/bin/sh', words, { env, cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  started.on('error', () => {}); // no shell, so no Unix: children still end by themselves where they can
  started.stdin?.on('error', () => {});
  started.unref();
  (started.stdin as unknown as { unref?(): void } | null)?.unref?.();
  return started;
}

function tell(line: string): void {
  if (process.platform !== 'linux') watcher?.stdin?.write(`${line}\n`);
}
