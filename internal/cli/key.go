package cli

import (
	"os"

	"mlgym/internal/redact"
	"mlgym/model/providers"
)

// keyOf is a provider's key in the environment.
type keyOf struct{ provider, env, value string }

// providerKeys looks for the keys of all providers.
func providerKeys() []keyOf {
	var out []keyOf
	for _, provider := range providers.Names() {
		for _, env := range providers.KeyVariables(provider) {
			out = append(out, keyOf{provider, env, os.Getenv(env)})
		}
	}
	return out
}

// redactor knows every secret of the environment.
func redactor() *redact.Redactor { return redact.New(redact.FromEnviron(os.Environ())...) }
