/** The results of the requests of a load: a failed one was refused, reset, cut, late, or answered with another status than 200. */
export interface HttpLoad {
  readonly requests: number
  /** one line per failure: when, what was requested, how it ended */
  readonly failures: readonly string[]
  /** how many requests each answer (the body) was given to */
  readonly answers: Readonly<Record<string, number>>
}

export interface HttpLoadGenerator {
  stop(): Promise<HttpLoad>
}

/** `slow` is a path that takes a while, asked for by POST, which no proxy may send again; one in `slowEvery` requests is such. */
export interface HttpLoadOptions {
  readonly perSecond: number
  readonly slow: string
  readonly slowEvery: number
}

interface Request {
  readonly method: string
  readonly path: string
}

/** A connection; `ask` makes one request on it and gives the answer. Nothing is ever asked twice. */
interface Connection {
  readonly isOpen: () => boolean
  readonly ask: (request: Request, keepAlive: boolean) => Promise<{ status: number; body: string }>
  readonly close: () => void
}

/** Milliseconds after which a request counts as failed. */
const TOO_LATE = 30_000

/**
 * Makes requests at a steady rate until stopped, in turn on connections that are kept and on new ones. It speaks HTTP over
 * plain sockets: an HTTP client that quietly repeats a request on another connection would hide the failures.
 */
export function startHttpLoad(hostname: string, port: number, options: HttpLoadOptions): HttpLoadGenerator {
  const began = performance.now()
  const failures: string[] = []
  const answers: Record<string, number> = {}
  const idle: Connection[] = []
  const waiting = new Set<Promise<void>>()
  let requests = 0
  const ask = async (request: Request, keepAlive: boolean) => {
    const connection = (keepAlive && takeOpen(idle)) || (await open(hostname, port))
    const { status, body } = await connection.ask(request, keepAlive)
    if (status !== 200) throw new Error(`status ${status}`)
    answers[body] = (answers[body] ?? 0) + 1
    if (keepAlive) idle.push(connection)
    else connection.close()
  }
  const makeOne = () => {
    const number = ++requests
    const isSlow = number % options.slowEvery === 0
    const { method, path } = isSlow ? { method: 'POST', path: options.slow } : { method: 'GET', path: '/' }
    const at = ((performance.now() - began) / 1000).toFixed(2)
    const request: Promise<void> = ask(
      { method, path },
      isSlow ? number % (2 * options.slowEvery) === 0 : number % 2 === 0,
    )
      .catch(
        (error: unknown) =>
          void failures.push(`${at}s ${method} ${path}: ${error instanceof Error ? error.message : error}`),
      )
      .finally(() => waiting.delete(request))
    waiting.add(request)
  }
  // Timers come late: as many are made as are due.
  const timer = setInterval(() => {
    while (requests < ((performance.now() - began) / 1000) * options.perSecond) makeOne()
  }, 5)
  return {
    async stop() {
      clearInterval(timer)
      await Promise.all(waiting)
      for (const connection of idle) connection.close()
      return { requests, failures, answers }
    },
  }
}

/** @returns the connection that was used last and is still open, if there is one. */
function takeOpen(idle: Connection[]): Connection | undefined {
  for (let connection = idle.pop(); connection; connection = idle.pop()) if (connection.isOpen()) return connection
  return undefined
}

async function open(hostname: string, port: number): Promise<Connection> {
  let isOpen = true
  let received = ''
  let settle:
    | { resolve: (answer: { status: number; body: string }) => void; reject: (error: Error) => void }
    | undefined
  const end = (why: string) => {
    isOpen = false
    settle?.reject(new Error(received === '' ? why : `${why}, in the middle of an answer`))
  }
  const socket = await Bun.connect({
    hostname,
    port,
    socket: {
      data(_, chunk) {
        received += chunk.toString('latin1')
        const answer = parseAnswer(received)
        if (answer) settle?.resolve(answer)
      },
      close: () => end('closed'),
      error: (_, { message }) => end(message),
    },
  })
  return {
    isOpen: () => isOpen,
    close: () => void socket.end(),
    async ask({ method, path }, keepAlive) {
      received = ''
      const late = setTimeout(() => end(`no answer in ${TOO_LATE} ms`), TOO_LATE)
      try {
        return await new Promise((resolve, reject) => {
          settle = { resolve, reject }
          if (!isOpen) end('closed before it was asked')
          const headers = ['Host: test', `Connection: ${keepAlive ? 'keep-alive' : 'close'}`, 'Content-Length: 0']
          socket.write([`${method} ${path} HTTP/1.1`, ...headers, '', ''].join('\r\n'))
        })
      } finally {
        clearTimeout(late)
        settle = undefined
      }
    },
  }
}

/** @returns an answer that is there in full. The applications of the tests all say how long theirs are. */
function parseAnswer(received: string): { status: number; body: string } | undefined {
  const [head = '', ...rest] = received.split('\r\n\r\n')
  if (rest.length === 0) return undefined
  const body = rest.join('\r\n\r\n')
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? Number.NaN)
  return body.length === length ? { status: Number(head.split(' ')[1]), body } : undefined
}
