// Runs the suite `http-cache-tests` against a reverse proxy: node run.mjs PROXY [ARGUMENTS...]
//
// The suite's origin listens on 127.0.0.1, on a port of the system's choice; the proxy is started with
// `--listen 127.0.0.1:0 --upstream ORIGIN`, says where it listens, and is ended with this process. The last line of the
// output is JSON: one object a test, `{id, suite, name, kind, result, why}`. PITCREW_CONFORMANCE_ID runs one test and
// shows its messages.

import { spawn } from 'node:child_process'
import http from 'node:http'
import { createInterface } from 'node:readline'
import process from 'node:process'

import fetch from 'node-fetch'
import { getResults, runTests } from 'http-cache-tests/client/runner.mjs'
import { determineTestResult } from 'http-cache-tests/lib/display.mjs'
import handleConfig from 'http-cache-tests/server/handle-config.mjs'
import handleState from 'http-cache-tests/server/handle-state.mjs'
import handleTest from 'http-cache-tests/server/handle-test.mjs'
import suites from 'http-cache-tests/tests/index.mjs'

const handlers = { config: handleConfig, state: handleState, test: handleTest }
const results = { '✅': 'pass', '⛔️': 'fail', '⚠️': 'optional_fail', Y: 'yes', N: 'no', '🔹': 'setup_fail', '⁉️': 'harness_fail', '⚪️': 'dependency_fail', '↻': 'retry', '-': 'untested' }

function origin () {
  const server = http.createServer((request, response) => {
    const [, part, ...rest] = new URL(request.url, 'http://origin').pathname.split('/')
    const handler = handlers[part]
    if (handler) return handler(rest, request, response)
    response.writeHead(404).end()
  })
  return new Promise(resolve => server.listen(0, '127.0.0.1', () => resolve(server)))
}

function proxy (program, args, upstream) {
  const child = spawn(program, [...args, '--listen', '127.0.0.1:0', '--upstream', upstream], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', code => reject(new Error(`the proxy ended with ${code}`)))
    lines.on('line', line => {
      const found = line.match(/http:\/\/127\.0\.0\.1:\d+/)
      if (found) resolve({ child, base: found[0] })
    })
  })
}

const [program, ...args] = process.argv.slice(2)
const only = process.env.PITCREW_CONFORMANCE_ID
const log = console.log
if (!only) console.log = () => {}

const server = await origin()
const { child, base } = await proxy(program, args, `http://127.0.0.1:${server.address().port}`)
const chosen = suites.map(suite => ({
  ...suite,
  tests: suite.tests.filter(test => !test.browser_only && (!only || test.id === only))
}))
if (only) for (const suite of chosen) for (const test of suite.tests) test.dump = true
await runTests(chosen, fetch, false, base)
const found = getResults()
const report = chosen.flatMap(suite => suite.tests.map(test => ({
  id: test.id,
  suite: suite.id,
  name: test.name,
  kind: test.kind ?? 'required',
  result: results[determineTestResult(suites, test.id, found, !only)[2]],
  why: Array.isArray(found[test.id]) ? found[test.id][1] : null
})))
child.removeAllListeners('exit')
child.kill()
server.closeAllConnections()
server.close()
log(JSON.stringify(report))
