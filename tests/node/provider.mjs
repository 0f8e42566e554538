// A real OpenID provider for tests: PORT, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI; who signs in is what he says he is.
import Provider from 'oidc-provider'

const { PORT, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI } = process.env
const issuer = `http://127.0.0.1:${PORT}`

/** The login is a JSON object of claims. */
function account(_context, id) {
  const claims = JSON.parse(Buffer.from(id, 'base64url').toString())
  return { accountId: id, claims: () => ({ ...claims, sub: claims.sub ?? claims.preferred_username }) }
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
