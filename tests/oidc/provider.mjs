// A real OpenID provider for the tests, on a free port of this machine, with ProConnect's claims.
// Whoever comes is signed in at once as the person that was last sent to /as (JSON).
// Told by the environment: JWKS, CLIENT_SECRET, REDIRECT_URI, LOGOUT_URI, and SIGNED_USERINFO.

import { createServer } from "node:http";

import Provider from "oidc-provider";

const { JWKS, CLIENT_SECRET, REDIRECT_URI, LOGOUT_URI, SIGNED_USERINFO } = process.env;
let person = {};

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  jwks: JSON.parse(JWKS),
  clients: [
    {
      client_id: "passnum",
      client_secret: CLIENT_SECRET,
      redirect_uris: [REDIRECT_URI],
      post_logout_redirect_uris: [LOGOUT_URI],
      id_token_signed_response_alg: "RS256",
      ...(SIGNED_USERINFO ? { userinfo_signed_response_alg: "RS256" } : {}),
    },
  ],
  scopes: ["openid"],
  claims: {
    openid: ["sub"],
    uid: ["uid"],
    siret: ["siret"],
    email: ["email"],
    acr: null,
    amr: null,
  },
  acrValues: ["eidas1", "eidas2"],
  features: {
    devInteractions: { enabled: false },
    claimsParameter: { enabled: true },
    jwtUserinfo: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  pkce: { required: () => true },
  cookies: { keys: ["tests"] },
  ttl: { IdToken: 600, AccessToken: 600, AuthorizationCode: 60, Interaction: 600, Session: 600, Grant: 600 },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ ...person, sub }) }),
});

const answer = provider.callback();

async function interact(request, response) {
  const { params, prompt, grantId } = await provider.interactionDetails(request, response);
  if (person.error) {
    const told = { error: person.error, error_description: "<b>told by the provider</b>" };
    return provider.interactionFinished(request, response, told);
  }
  if (prompt.name === "login") {
    const login = { accountId: person.sub, acr: person.acr, amr: person.amr };
    return provider.interactionFinished(request, response, { login });
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: person.sub, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  grant.addOIDCClaims(["acr", "amr"]);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

server.on("request", async (request, response) => {
  try {
    if (request.url === "/as") {
      let body = "";
      for await (const chunk of request) body += chunk;
      person = JSON.parse(body);
      response.writeHead(204).end();
    } else if (request.url.startsWith("/interaction/")) {
      await interact(request, response);
    } else {
      answer(request, response);
    }
  } catch (error) {
    response.writeHead(500).end(String(error.stack));
  }
});

console.log(issuer);
