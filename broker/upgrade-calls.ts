/** What the HTTP door asks of packages and upgrades, answered by the store of packages, the driver and the coordinator's view. */

import type { UpgradePlanRow, UpgradeView } from '../shared/protocol/views.ts'
import type { UpgradePort } from './adapters/http-port.ts'
import type { PackageStore, PackageView } from './adapters/package-store.ts'
import type { UpgradeWish } from './core/events.ts'
import type { UpgradeProblem } from './core/rules/upgrades.ts'
import type { CoordinatorView } from './core/views/coordinator-view.ts'
import type { GatewayDriver } from './driver.ts'

export class UpgradeCalls implements UpgradePort {
  readonly #packages: PackageStore
  readonly #driver: GatewayDriver
  readonly #view: CoordinatorView

  constructor(packages: PackageStore, driver: GatewayDriver, view: CoordinatorView) {
    this.#packages = packages
    this.#driver = driver
    this.#view = view
  }

  packages(): readonly PackageView[] {
    return this.#packages.all
  }

  find(sha256: string): PackageView | undefined {
    return this.#packages.find(sha256)
  }

  takePackage(body: AsyncIterable<Uint8Array>): Promise<PackageView> {
    return this.#packages.take(body)
  }

  removePackage(sha256: string): boolean {
    return this.#packages.remove(sha256)
  }

  latest(): UpgradeView | undefined {
    return this.#view.upgrade()
  }

  problemOf(wish: UpgradeWish): UpgradeProblem | undefined {
    return this.#view.upgradeProblem(wish)
  }

  planFor(wish: UpgradeWish): readonly UpgradePlanRow[] {
    return this.#view.upgradePlan(wish)
  }

  async start(wish: UpgradeWish): Promise<UpgradeView> {
    await this.#driver.upgrade({ start: wish })
    return this.latest()!
  }

  async demand(demand: 'stop' | 'resume'): Promise<UpgradeView | undefined> {
    await this.#driver.upgrade(demand)
    return this.latest()
  }
}
