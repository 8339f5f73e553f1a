/* What of a picture's file is needed to show the picture as it is. Everything that has no row is dropped: where and with what it was taken,
 * words about it, small pictures of it, and what nobody knows. Order and numbers mean nothing.
 *
 * A part is named as its format names it: JPEG by the byte of its marker, PNG and WebP by the four characters of a chunk, GIF by the byte that
 * introduces a block, an extension by its label, and that of an application by its eleven characters too, which are its first piece of data.
 * PART(format, first name, last name, how its content begins, what becomes of it, what it is)
 *   KEEP    stays as it is
 *   JFIF    stays without the small picture in it
 *   TURN    is replaced by how the picture is to be turned, and by nothing when it stands upright
 *   FLAGS   stays, without saying that there is what was dropped
 * Sources: ITU-T T.81 and T.871, ICC.1 B.4, Adobe TN 5116; W3C PNG (Third Edition); GIF89a; Google, WebP Container Specification; CIPA DC-008.
 */
PART(JPEG, "\xC0", "\xCF", "",               KEEP,  "frames, Huffman tables, arithmetic conditioning")
PART(JPEG, "\xDA", "\xDF", "",               KEEP,  "scans, quantization tables, number of lines, restarts, progression")
PART(JPEG, "\xE0", "\xE0", "JFIF\0",         JFIF,  "density of pixels")
PART(JPEG, "\xE1", "\xE1", "Exif\0",         TURN,  "EXIF")
PART(JPEG, "\xE2", "\xE2", "ICC_PROFILE\0",  KEEP,  "what its colours are")
PART(JPEG, "\xEE", "\xEE", "Adobe",          KEEP,  "which transform its colours went through")

PART(PNG,  "IHDR", "IHDR", "",               KEEP,  "size and kind of pixels")
PART(PNG,  "PLTE", "PLTE", "",               KEEP,  "palette")
PART(PNG,  "IDAT", "IDAT", "",               KEEP,  "pixels")
PART(PNG,  "IEND", "IEND", "",               KEEP,  "the end")
PART(PNG,  "tRNS", "tRNS", "",               KEEP,  "transparency")
PART(PNG,  "bKGD", "bKGD", "",               KEEP,  "background")
PART(PNG,  "sBIT", "sBIT", "",               KEEP,  "significant bits")
PART(PNG,  "pHYs", "pHYs", "",               KEEP,  "density of pixels")
PART(PNG,  "cHRM", "cHRM", "",               KEEP,  "colours")
PART(PNG,  "gAMA", "gAMA", "",               KEEP,  "colours")
PART(PNG,  "iCCP", "iCCP", "",               KEEP,  "colours")
PART(PNG,  "sRGB", "sRGB", "",               KEEP,  "colours")
PART(PNG,  "cICP", "cICP", "",               KEEP,  "colours")
PART(PNG,  "mDCV", "mDCV", "",               KEEP,  "colours of the display it was made on")
PART(PNG,  "cLLI", "cLLI", "",               KEEP,  "brightness")
PART(PNG,  "acTL", "acTL", "",               KEEP,  "that it moves")
PART(PNG,  "fcTL", "fcTL", "",               KEEP,  "a frame")
PART(PNG,  "fdAT", "fdAT", "",               KEEP,  "pixels of a frame")
PART(PNG,  "eXIf", "eXIf", "",               TURN,  "EXIF")

PART(GIF,  "\x2C", "\x2C", "",               KEEP,  "a picture")
PART(GIF,  "\xF9", "\xF9", "",               KEEP,  "how long it stays, and transparency")
PART(GIF,  "\xFF", "\xFF", "\x0BNETSCAPE2.0", KEEP,  "how often it is repeated")
PART(GIF,  "\xFF", "\xFF", "\x0B" "ANIMEXTS1.0", KEEP,  "how often it is repeated")
PART(GIF,  "\xFF", "\xFF", "\x0BICCRGBG1012", KEEP,  "what its colours are")

PART(WEBP, "VP8X", "VP8X", "",               FLAGS, "size, and what there is")
PART(WEBP, "VP8 ", "VP8 ", "",               KEEP,  "pixels")
PART(WEBP, "VP8L", "VP8L", "",               KEEP,  "pixels")
PART(WEBP, "ALPH", "ALPH", "",               KEEP,  "transparency")
PART(WEBP, "ANIM", "ANIM", "",               KEEP,  "background, and how often it is repeated")
PART(WEBP, "ANMF", "ANMF", "",               KEEP,  "a frame")
PART(WEBP, "ICCP", "ICCP", "",               KEEP,  "what its colours are")
PART(WEBP, "EXIF", "EXIF", "",               TURN,  "EXIF")
