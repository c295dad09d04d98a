/** Kinds of values that only options of the gateway have. */
import { didYouMean } from '../shared/core/near-match.ts'
import { type Field, formatFields, parseFields } from '../shared/grid/fields.ts'
import { GRID_SIDE_MAX } from '../shared/grid/geometry.ts'
import { isFilter } from '../shared/protocol/topic-filters.ts'
import { isHostName } from '../shared/runtime/host-names.ts'
import { list, malformed, type OptionType, text } from '../shared/runtime/option-types.ts'

/** `1024x1024`: width and height in LSUs. */
export const grid = text<{ readonly width: number; readonly height: number }>({
  placeholder: '<W>x<H>',
  example: '1024x1024',
  range: `sides of 1 to ${GRID_SIDE_MAX}`,
  parse(given) {
    const match = /^(\d{1,9})x(\d{1,9})$/.exec(given)
    if (!match) return malformed(`"${given}" is not <width>x<height>`)
    const [width, height] = [Number(match[1]), Number(match[2])]
    if ([width, height].every((side) => side >= 1 && side <= GRID_SIDE_MAX)) {
      return { ok: true, value: Object.freeze({ width, height }) }
    }
    const message = `${given} is out of range, sides of 1 to ${GRID_SIDE_MAX} are taken`
    return { ok: false, fault: 'out-of-range', message }
  },
  format: (size) => `${size.width}x${size.height}`,
})

export const fields = text<readonly Field[]>({
  placeholder: '<name:type[:nodata=number],…>',
  example: 'temp:f32,visits:i32',
  range: 'types u8, i32, f32, f64; nodata is the number that stands for no data',
  parse(given) {
    const parsed = parseFields(given)
    return 'fields' in parsed
      ? { ok: true, value: Object.freeze(parsed.fields) }
      : malformed(parsed.problems.join('; '))
  },
  format: formatFields,
})

export const hostNames = text<readonly string[]>({
  placeholder: '<name,…>',
  range: 'host names and addresses',
  parse(given) {
    const names = given.split(',').map((name) => name.trim())
    const bad = names.find((name) => !isHostName(name))
    return bad === undefined
      ? { ok: true, value: Object.freeze(names) }
      : malformed(`"${bad}" is no host name and no address`)
  },
  format: (names) => names.join(','),
})

/** The first level of topics. */
export const discoveryPrefix = text<string>({
  placeholder: '<level>',
  range: 'one level of a topic',
  parse(given) {
    if (/^[A-Za-z0-9_-]{1,64}$/.test(given)) return { ok: true, value: given }
    return malformed(`"${given}" is not one level of a topic`)
  },
})

/** What stands before topics, no wildcard in it [MQTT-4.7.1-1]. */
export const topicPrefix = text<string>({
  placeholder: '<topic>',
  range: 'the beginning of a topic',
  parse(given) {
    if (isFilter(`${given}x`) && !/[+#]/.test(given)) return { ok: true, value: given }
    return malformed(`"${given}" cannot begin a topic`)
  },
})

export const topicFilters: OptionType<readonly string[]> = {
  ...list(),
  range: 'filters of MQTT',
  parse(given) {
    const parsed = list().parse(given)
    const bad = parsed.ok ? parsed.value.find((filter) => !isFilter(filter)) : undefined
    if (bad === undefined) return parsed
    return malformed(`"${bad}" is no filter of MQTT`)
  },
}

const FRAME_SOURCE = /^('none'|'self'|https?:\/\/(\*\.)?[A-Za-z0-9.-]+(:(\d{1,5}|\*))?)$/

/** The sources of a policy of content [CSP3 §6.4.2]: nobody, this host, origins. */
export const frameAncestors = text<string>({
  placeholder: '<sources>',
  range: "'none', 'self' and origins such as https://home.example",
  parse(given) {
    const sources = given.trim().split(/\s+/)
    const bad = sources.find((one) => !FRAME_SOURCE.test(one))
    if (bad === undefined && !(sources.includes("'none'") && sources.length > 1)) {
      return { ok: true, value: sources.join(' ') }
    }
    return malformed(`"${bad ?? given}" is neither 'self' nor an origin, and not 'none' alone`)
  },
})

/** Text that is shown. */
export function label(charactersMax: number): OptionType<string> {
  return text({
    range: `at most ${charactersMax} characters`,
    parse(given) {
      if ([...given].length <= charactersMax) return { ok: true, value: given }
      return malformed(`"${given}" is longer than ${charactersMax} characters`)
    },
  })
}

/** Device classes of sensors of numbers, as Home Assistant 2024.11 has them. */
const SENSOR_CLASSES = [
  ...['apparent_power', 'aqi', 'atmospheric_pressure', 'battery', 'carbon_dioxide'],
  ...['carbon_monoxide', 'conductivity', 'current', 'data_rate', 'data_size', 'distance'],
  ...['duration', 'energy', 'energy_storage', 'frequency', 'gas', 'humidity', 'illuminance'],
  ...['irradiance', 'moisture', 'monetary', 'nitrogen_dioxide', 'nitrogen_monoxide'],
  ...['nitrous_oxide', 'ozone', 'ph', 'pm1', 'pm10', 'pm25', 'power', 'power_factor'],
  ...['precipitation', 'precipitation_intensity', 'pressure', 'reactive_power'],
  ...['signal_strength', 'sound_pressure', 'speed', 'sulphur_dioxide', 'temperature'],
  ...['volatile_organic_compounds', 'volatile_organic_compounds_parts', 'voltage', 'volume'],
  ...['volume_flow_rate', 'volume_storage', 'water', 'weight', 'wind_speed'],
]

export const sensorClass = text<string>({
  placeholder: '<class>',
  range: 'a device class of sensors, as Home Assistant names it',
  parse(given) {
    if (SENSOR_CLASSES.includes(given)) return { ok: true, value: given }
    return malformed(
      `"${given}" is no device class of a number${didYouMean(given, SENSOR_CLASSES)}`,
    )
  },
})
