#!/usr/bin/env node
// The program of the client matrix for kafkajs: README.md, in the folder above, says what it promises.
//
// kafkajs brings gzip; the other codecs are the packages that its users add. It reads in groups only: each read job is a
// group of its own.
'use strict'

const { createHash, randomUUID } = require('node:crypto')
const readline = require('node:readline')
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = require('kafkajs')
const Lz4 = require('@2l/kafkajs-lz4')
const Snappy = require('kafkajs-snappy')
const zstd = require('@mongodb-js/zstd')

CompressionCodecs[CompressionTypes.Snappy] = Snappy
CompressionCodecs[CompressionTypes.LZ4] = new (Lz4.default ?? Lz4)().codec
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => zstd.compress(encoder.buffer),
  decompress: async buffer => zstd.decompress(buffer),
})

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}
const FIRST_TIMESTAMP_MS = 1_700_000_000_000
const RECORDS_PER_SEND = 40
const KINDS = 'kevwht'

/** Record `index` of `seed`, as workload.py and tests/support/workload.rs make it. */
function record(seed, index) {
  const digest = createHash('sha256').update(`${seed}/${index}`).digest()
  const draw = digest.readUInt16BE(0)
  const size = index % 1000 === 999 ? 0 : digest[2] < 230 ? draw % 200 : digest[2] < 254 ? draw % 4096 : draw
  const key = index % 5 === 4 ? null : Buffer.from(index % 211 === 7 ? '' : `key-${index % 1000}`)
  const value = index % 97 === 13 && key !== null ? null : Buffer.alloc(size, size > 0 ? digest : 0)
  const headers = {}
  for (let j = 0; j < index % 3; j++) headers[`h${j}`] = digest.subarray(j, j + 8)
  return { key, value, headers, timestamp: String(FIRST_TIMESTAMP_MS + index) }
}

function bytes(content) {
  const length = Buffer.alloc(4)
  length.writeInt32BE(content == null ? -1 : content.length)
  return content == null ? length : Buffer.concat([length, content])
}

/** For clients that cannot tell the empty from null. */
const orNull = content => (content?.length === 0 ? null : content)

/** The digests of a topic, field by field. */
class Fields {
  count = 0
  digests = new Map()

  add(partition, offset, message) {
    this.count++
    if (!this.digests.has(partition)) {
      this.digests.set(partition, Object.fromEntries([...KINDS].map(kind => [kind, createHash('sha256')])))
    }
    const into = this.digests.get(partition)
    const place = Buffer.alloc(12)
    place.writeInt32BE(partition)
    place.writeBigInt64BE(BigInt(offset), 4)
    for (const digest of Object.values(into)) digest.update(place)
    into.k.update(bytes(message.key))
    into.e.update(bytes(orNull(message.key)))
    into.v.update(bytes(message.value))
    into.w.update(bytes(orNull(message.value)))
    const headers = Object.entries(message.headers ?? {})
    const count = Buffer.alloc(4)
    count.writeInt32BE(headers.length)
    into.h.update(count)
    for (const [name, content] of headers) into.h.update(bytes(Buffer.from(name))).update(bytes(content))
    const time = Buffer.alloc(8)
    time.writeBigInt64BE(BigInt(message.timestamp))
    into.t.update(time)
  }

  words() {
    const partitions = [...this.digests.keys()].sort((a, b) => a - b)
    return [...KINDS].map(kind => {
      const whole = createHash('sha256')
      for (const partition of partitions) whole.update(this.digests.get(partition)[kind].copy().digest())
      return `${kind}=${whole.digest('hex').slice(0, 16)}`
    })
  }
}

function tell(...words) {
  process.stdout.write(words.map(word => String(word).replace(/\t/g, ' ').replace(/\n/g, ' | ')).join('\t') + '\n')
}

function connect(bootstrap, retries = 5) {
  const logCreator = () => ({ label, log }) => process.stderr.write(`${label} ${JSON.stringify(log)}\n`)
  return new Kafka({ clientId: 'matrix', brokers: [bootstrap], logLevel: logLevel.WARN, logCreator, retry: { retries } })
}

async function write(bootstrap, topic, seed, records, partitions, codec) {
  const producer = connect(bootstrap).producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  try {
    for (let first = 0; first < records; first += RECORDS_PER_SEND) {
      const messages = []
      for (let index = first; index < Math.min(records, first + RECORDS_PER_SEND); index++) {
        messages.push({ ...record(seed, index), partition: index % partitions })
      }
      await producer.send({ topic, messages, acks: -1, compression: CODECS[codec] })
    }
  } finally {
    await producer.disconnect()
  }
  tell('wrote', records)
}

async function read(bootstrap, patienceMs, text) {
  const wanted = new Map()
  for (const each of text.split(',')) {
    const [topic, , records] = each.split(':')
    wanted.set(topic, { records: Number(records), fields: new Fields() })
  }
  const isComplete = ({ records, fields }) => fields.count >= records
  const missing = () => [...wanted].filter(([, each]) => !isComplete(each))
  const consumer = connect(bootstrap).consumer({ groupId: `matrix-${randomUUID()}`, maxWaitTimeInMs: 100 })
  let failure = null
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [...wanted.keys()], fromBeginning: true })
    await new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`after ${patienceMs} ms: ${missing().map(([t, { records, fields }]) => `${t}: ${fields.count} of ${records}`)}`)),
        patienceMs,
      )
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
      const eachBatch = async ({ batch }) => {
        const { fields } = wanted.get(batch.topic)
        for (const message of batch.messages) fields.add(batch.partition, message.offset, message)
        if (missing().length === 0) {
          clearTimeout(timer)
          resolve()
        }
      }
      consumer.run({ autoCommit: false, eachBatch, partitionsConsumedConcurrently: 1 }).catch(reject)
    })
  } catch (failed) {
    failure = failed
  } finally {
    await consumer.disconnect()
  }
  for (const [topic, each] of wanted) {
    if (isComplete(each)) tell('read', topic, each.fields.count, ...each.fields.words())
  }
  if (failure !== null) throw failure
}

const SOURCES = { 1: 'topic', 5: 'default' }
const entries = configs => Object.entries(configs).map(([name, value]) => ({ name, value }))

/** One step of an admin, as lines; what the broker refuses is a line as well. */
async function admin(bootstrap, step, topic, ...rest) {
  const client = connect(bootstrap, 0).admin()
  await client.connect()
  try {
    return await STEPS[step](client, topic, ...rest)
  } catch (failed) {
    // It wraps what a topic or a partition was refused, and wraps that again.
    for (let cause = failed; cause; cause = cause.errors?.[0] ?? cause.partitions?.[0]?.error ?? cause.cause) {
      if (cause.code !== undefined) return [`error ${cause.code}`]
    }
    throw failed
  } finally {
    await client.disconnect()
  }
}

const STEPS = {
  async create(client, topic) {
    const wanted = { topic, numPartitions: 2, replicationFactor: 1, configEntries: entries({ 'retention.ms': '-1' }) }
    // It does not tell why a topic could not be created when it is there.
    return [(await client.createTopics({ topics: [wanted], waitForLeaders: false })) ? 'done' : 'error 36']
  },
  async describe(client, topic) {
    const { topics } = await client.fetchTopicMetadata({ topics: [topic] })
    const partitions = topics[0].partitions.sort((a, b) => a.partitionId - b.partitionId)
    return partitions.map(p => `${p.partitionId} leader ${p.leader} replicas ${p.replicas.length}`)
  },
  async list(client, topic) {
    return [(await client.listTopics()).includes(topic) ? 'listed' : 'not listed']
  },
  async configs(client, topic) {
    const configNames = ['cleanup.policy', 'max.message.bytes', 'retention.ms']
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames }]
    const found = (await client.describeConfigs({ includeSynonyms: false, resources })).resources[0].configEntries
    return found.map(each => `${each.configName}=${each.configValue} ${SOURCES[each.configSource] ?? each.configSource}`).sort()
  },
  async alter(client, topic) {
    const configEntries = entries({ 'retention.ms': '-1', 'max.message.bytes': '2000000' })
    await client.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] })
    return ['done']
  },
  async grow(client, topic, count) {
    await client.createPartitions({ topicPartitions: [{ topic, count: Number(count) }] })
    return ['done']
  },
  async trim(client, topic, partition, offset) {
    await client.fetchTopicOffsets(topic) // or it would not know the topic's leaders
    await client.deleteTopicRecords({ topic, partitions: [{ partition: Number(partition), offset }] })
    return ['done']
  },
  async start(client, topic, partition) {
    const found = await client.fetchTopicOffsets(topic)
    return [found.find(each => each.partition === Number(partition)).low]
  },
  async delete(client, topic) {
    await client.deleteTopics({ topics: [topic] })
    return ['done']
  },
}

async function run([verb, , bootstrap, ...rest]) {
  if (verb === 'write') {
    const [topic, seed, records, partitions, codec] = rest
    await write(bootstrap, topic, seed, Number(records), Number(partitions), codec)
  } else if (verb === 'read') {
    await read(bootstrap, Number(rest[0]), rest[1])
  } else if (verb === 'admin') {
    for (const line of await admin(bootstrap, ...rest)) tell('saw', line)
  } else {
    throw new Error(`unknown job: ${verb}`)
  }
}

async function main() {
  tell('client', 'kafkajs', require('kafkajs/package.json').version)
  tell('ready')
  for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
      await run(line.split('\t'))
    } catch (failed) {
      process.stderr.write(`${failed.stack}\n`)
      tell('error', String(failed))
    }
    tell('done')
  }
  process.exit(0)
}

main()
