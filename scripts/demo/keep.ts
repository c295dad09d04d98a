import { type Ports, pageOf } from './fleet.ts'

/** How to talk to the fleet that is left running, with its ports. */
export function keepLines({ mqtt, http }: Ports, killed: string): string[] {
  const at = `-h 127.0.0.1 -p ${mqtt}`
  const task = `{"id":"rain-1","op":"stat","args":{"field":"precip","bins":8}}`
  return [
    '',
    `The fleet goes on, and ${killed} is back. In a browser:`,
    '',
    `    ${pageOf(http)}`,
    '',
    'From another terminal:',
    '',
    '  watch it',
    `    mosquitto_sub ${at} -v -t 'obelisk/v1/gateway/+' -t 'obelisk/v1/node/+/telemetry/json'`,
    '  submit a task, and read its result',
    `    mosquitto_pub ${at} -q 1 -t obelisk/v1/task/submit -m '${task}'`,
    `    mosquitto_sub ${at} -C 1 -t obelisk/v1/task/rain-1/result/json`,
    '  the same by HTTP',
    `    npx obelisk task submit stat --args '{"field":"precip"}' --wait --http http://127.0.0.1:${http}`,
    `    npx obelisk node ls --http http://127.0.0.1:${http}`,
    '',
    'Ctrl-C ends it and removes its folder.',
  ]
}
