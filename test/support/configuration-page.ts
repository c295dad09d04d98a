import { GATEWAY } from '../../broker/config.ts'
import { AGENT } from '../../firmware-agent/config.ts'
import { renderOptionsMarkdown, renderTablesMarkdown } from '../../shared/runtime/option-pages.ts'

/** `docs/configuration.md`, from the option tables; a test holds the page to it. */
export function renderConfigurationPage(): string {
  return `# Configuration

Every option of \`obelisk gateway\` and \`obelisk agent\` can be set in three places:

1. a TOML file: \`/etc/obelisk/gateway.toml\` or \`/etc/obelisk/agent.toml\` if it is there, or the one
   that \`--config\` (or \`OBELISK_CONFIG\`) names;
2. the environment;
3. flags.

Flags win over the environment, and the environment over the file. A plain number is in the unit of the
option; where the unit is a time or bytes, a suffix may say another: \`500ms\`, \`10s\`, \`5min\`, \`24h\`,
\`7d\`, \`512KiB\`, \`64MiB\`, \`1GiB\`. An empty variable counts as not set.

What is wrong is named all at once, before anything opens: unknown keys, flags and \`OBELISK_…\` variables,
values out of range, and options that do not fit together. The exit code is then 78, or 2 when the command
line itself is misused (an unknown flag, a flag that is not what it must be). A unit with
\`RestartPreventExitStatus=78\` is not started again into the same fault.

What may be said several times stands in tables of the file, as \`[[input]]\`, below all plain keys. There is no flag and
no variable for it.

The token of an agent is read from \`enroll_token_file\`, or from the credential \`enroll-token\`
(\`LoadCredential=enroll-token:…\`); never from the environment or a flag, which others can see.

## Gateway

\`\`\`toml
# /etc/obelisk/gateway.toml: everything has a default
grid = "2048x2048"
fields = "elevation:f32,visits:i32"
replicas = 3
\`\`\`

${renderOptionsMarkdown(GATEWAY)}
${renderTablesMarkdown(GATEWAY)}## Agent

\`\`\`toml
# /etc/obelisk/agent.toml
url = "mqtts://gateway.local:8883"
telemetry_interval = 30
\`\`\`

${renderOptionsMarkdown(AGENT)}
## User commands

| Flag | Variable | Default | |
|---|---|---|---|
| \`--http\` | \`OBELISK_HTTP\` | the socket of a secured gateway on this machine, else that of the login, else \`http://127.0.0.1:8025\` | The gateway's HTTP address, for all commands that ask it something. |
| \`--url\` | \`OBELISK_URL\` | that of the login, else \`mqtt://127.0.0.1:1883\` | The gateway's MQTT address, for \`sub\`. |
`
}
