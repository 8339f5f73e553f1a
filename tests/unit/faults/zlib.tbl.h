/* Every function of zlib that services/gateway/deflate.c calls. Order and numbers mean nothing.
 *   FAILS(function, what a failure returns, parameters, arguments)   made to fail, one call after the other
 *   CANNOT(function)                                                 has no failure that a caller could answer
 */
FAILS(deflate, Z_STREAM_ERROR, (z_stream *z, int f), (z, f))
FAILS(inflate, Z_DATA_ERROR, (z_stream *z, int f), (z, f))
CANNOT(deflateEnd)           /* frees */
CANNOT(deflateInit2_)        /* without memory the process ends, as everywhere */
CANNOT(deflateReset)         /* of a state that zlib has made itself */
CANNOT(inflateEnd)
CANNOT(inflateInit2_)
CANNOT(inflateReset)
CANNOT(inflateSetDictionary) /* behind a reset, of raw data */
