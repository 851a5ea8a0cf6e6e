// A certificate for localhost that signed itself, and its key: for tests alone.
static const char tls_test_certificate[] =
  "-----BEGIN CERTIFICATE-----\n"
  "MIIBljCCATugAwIBAgIUTG1fqbOcLRz4bkwXnVbJJ3MEfqowCgYIKoZIzj0EAwIw\n"
  "FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNzIwMzcyNVoYDzIxMjYxMTAz\n"
  "MjAzNzI1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\n"
  "PQMBBwNCAASPf5ZAD6RwKO0bhMjqqOEMFWm8B/VcXyuJy6PeIU6K492BKiSqSr87\n"
  "GI9CW26/qEHLD2XeGz5dOjDeIwhNQy5eo2kwZzAdBgNVHQ4EFgQUGg8xxhMCcbcj\n"
  "Ua4tCcxAFwcsmZkwHwYDVR0jBBgwFoAUGg8xxhMCcbcjUa4tCcxAFwcsmZkwDwYD\n"
  "VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID\n"
  "SQAwRgIhAObEyhC/E2YB0iXnzbC4vPq6ouK9rSV1O9B7Gqf5PckNAiEA11O5o8xF\n"
  "70sWhLyFZ7/Fm4n0uwbilgxeFHZrlgp4Rc8=\n"
  "-----END CERTIFICATE-----\n";
static const char tls_test_key[] =
  "-----BEGIN PRIVATE KEY-----\n"
  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgeG9gOOB/r2GWZtY2\n"
  "kGelFX8YNgaw7KzxXis50gjBTOehRANCAASPf5ZAD6RwKO0bhMjqqOEMFWm8B/Vc\n"
  "XyuJy6PeIU6K492BKiSqSr87GI9CW26/qEHLD2XeGz5dOjDeIwhNQy5e\n"
  "-----END PRIVATE KEY-----\n";
// The same key, encrypted with the password "secret".
static const char tls_test_locked_key[] =
  "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
  "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjTebmYX8ld/gICCAAw\n"
  "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEAELT7iGDYGpi/f9MwZb3AEEgZC+\n"
  "qUx7Ma4BdoeQ3I4ZrQrEhhEs+XXSBTXK+DVhIjtc0f+y2aCmf4z7mTdQn3E6pwyL\n"
  "plJ6OE5T7YWk+8xNpJY6ohcfgpJ4NF+Seru7qHhft6ujHe+m3wOIY2cQ2hpn1UlW\n"
  "M6o9Ef6fDLrhvErg7ROXsKFqUZ9mFykussHcuFkiXMQVmLOwubaDSE69qovltzE=\n"
  "-----END ENCRYPTED PRIVATE KEY-----\n";
