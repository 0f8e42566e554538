import { createRoot } from 'react-dom/client'
import { keepRenewed } from './api/renewal'
import { holdLink } from './api/shareLinks'
import { enterByTicket } from './api/signIn'
import { App } from './ui/App'
import { startLanguage } from './ui/i18n'
import './ui/styles/base.css'
import './ui/styles/controls.css'
import './ui/styles/signIn.css'
import './ui/styles/list.css'
import './ui/styles/states.css'
import './ui/styles/table.css'
import './ui/styles/cards.css'

const root = document.getElementById('root')
if (!root) throw new Error('index.html has no #root')
keepRenewed()
holdLink()
void Promise.all([startLanguage(), enterByTicket()]).then(() => createRoot(root).render(<App />))
