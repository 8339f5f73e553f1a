/* Every function of libsodium that common/ and services/api call. Order and numbers mean nothing.
 *   FAILS(function, parameters, arguments)   made to fail as for want of memory, one call after the other
 *   CANNOT(function)                         has no failure of its own
 */
FAILS(crypto_pwhash, (unsigned char *out, unsigned long long size, const char *pw, unsigned long long n, const unsigned char *salt, unsigned long long ops, size_t mem, int alg), (out, size, pw, n, salt, ops, mem, alg))
FAILS(crypto_pwhash_str_alg, (char *out, const char *pw, unsigned long long n, unsigned long long ops, size_t mem, int alg), (out, pw, n, ops, mem, alg))
CANNOT(crypto_auth_hmacsha256_final)
CANNOT(crypto_auth_hmacsha256_init)
CANNOT(crypto_auth_hmacsha256_update)
CANNOT(crypto_generichash)        /* fails for sizes only, and ours are constants; so do the next three */
CANNOT(crypto_generichash_final)
CANNOT(crypto_generichash_init)
CANNOT(crypto_generichash_update)
CANNOT(crypto_shorthash)
CANNOT(randombytes_buf)           /* ends the process without random numbers, as we would */
CANNOT(randombytes_uniform)
CANNOT(sodium_base642bin)         /* of malformed text: the tests of its callers */
CANNOT(sodium_bin2base64)         /* ends the process when the room is too small: the rooms are constants */
CANNOT(sodium_bin2hex)
CANNOT(sodium_hex2bin)            /* of malformed text: the tests of its callers */
CANNOT(sodium_init)               /* once a process, which ends when it fails */
CANNOT(sodium_memcmp)
CANNOT(sodium_memzero)
