#include "common/work.h"
#include "common/util.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

enum { HASH_UNIT_BYTES = 1024 };

uint64_t work_hash(uint64_t digest, uint64_t units)
{
    unsigned char block[HASH_UNIT_BYTES] = {0};
    unsigned char out[EVP_MAX_MD_SIZE];
    uint64_t folded;
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (!context || !EVP_DigestInit_ex(context, EVP_sha256(), NULL))
        die("SHA-256 is not available");
    memcpy(block, &digest, sizeof digest);
    for (uint64_t i = 0; i < units; i++) {
        EVP_DigestInit_ex(context, NULL, NULL);
        EVP_DigestUpdate(context, block, sizeof block);
        EVP_DigestFinal_ex(context, out, NULL);
        memcpy(block, out, 32);
    }
    EVP_MD_CTX_free(context);
    /* The library keeps state for each thread and frees it when the thread ends, which must not
     * meet the clean-up at the end of the program: threads here may be the last to leave. */
    OPENSSL_thread_stop();
    memcpy(&folded, block, sizeof folded);
    return folded;
}
