/** What ships, as a simulation uses them; a mutant brings its own. */
import { LedgerStore } from '../../broker/adapters/ledger-store.ts'
import { Coordinator } from '../../broker/core/coordinator.ts'
import { restoredChanges } from '../../broker/core/restored-ledger.ts'
import { GatewayDriver } from '../../broker/driver.ts'
import { OperationRunner } from '../../firmware-agent/adapters/operation-runner.ts'
import { SliceStore } from '../../firmware-agent/adapters/slice-store.ts'
import { Agent } from '../../firmware-agent/core/agent.ts'
import { AgentDriver } from '../../firmware-agent/driver.ts'

export const SHIPPED = {
  Coordinator,
  GatewayDriver,
  LedgerStore,
  restoredChanges,
  Agent,
  AgentDriver,
  OperationRunner,
  SliceStore,
}

export type Programs = typeof SHIPPED

/** Where each of them is. */
export const SOURCES: Readonly<Record<keyof Programs, string>> = {
  Coordinator: 'broker/core/coordinator.ts',
  GatewayDriver: 'broker/driver.ts',
  LedgerStore: 'broker/adapters/ledger-store.ts',
  restoredChanges: 'broker/core/restored-ledger.ts',
  Agent: 'firmware-agent/core/agent.ts',
  AgentDriver: 'firmware-agent/driver.ts',
  OperationRunner: 'firmware-agent/adapters/operation-runner.ts',
  SliceStore: 'firmware-agent/adapters/slice-store.ts',
}
