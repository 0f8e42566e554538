// A real OpenID provider for tests: PORT, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, ACCOUNTS.
import { readFileSync } from 'node:fs'
import Provider from 'oidc-provider'

const { ACCOUNTS, PORT, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI } = process.env
const issuer = `http://127.0.0.1:${PORT}`

/** ACCOUNTS: a JSON file of claims by subject; the login is the subject. */
function account(_context, sub) {
  const claims = JSON.parse(readFileSync(ACCOUNTS))[sub]
  return claims && { accountId: sub, claims: () => ({ ...claims, sub }) }
}

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      redirect_uris: [REDIRECT_URI],
      response_types: ['code'],
      grant_types: ['authorization_code'],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'role', 'facility'] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  cookies: { keys: ['a key of this test alone'] },
  features: { devInteractions: { enabled: true } },
  findAccount: account,
})
provider.listen(Number(PORT), '127.0.0.1', () => console.log('ready'))
