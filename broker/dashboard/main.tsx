import { render } from 'preact'
import { App } from './app.tsx'
import { start } from './live.ts'
import { readAddress } from './route.ts'

readAddress()
addEventListener('hashchange', readAddress)
start()
render(<App />, document.getElementById('app')!)
