#ifndef DOCKRION_CCURL_SHIM_H
#define DOCKRION_CCURL_SHIM_H

/* First, as in CLibevent: another header may define _GNU_SOURCE. */
#include <sys/select.h>

#include <curl/curl.h>

/* curl_easy_setopt takes any type, and Swift imports no such function: one function a type. */

static inline CURLcode dockrion_curl_set_long(CURL *easy, CURLoption option, long value) {
  return curl_easy_setopt(easy, option, value);
}

static inline CURLcode dockrion_curl_set_size(CURL *easy, CURLoption option, curl_off_t value) {
  return curl_easy_setopt(easy, option, value);
}

static inline CURLcode dockrion_curl_set_text(CURL *easy, CURLoption option, const char *value) {
  return curl_easy_setopt(easy, option, value);
}

static inline CURLcode dockrion_curl_set_pointer(CURL *easy, CURLoption option, void *value) {
  return curl_easy_setopt(easy, option, value);
}

static inline CURLcode dockrion_curl_set_list(CURL *easy, CURLoption option, struct curl_slist *value) {
  return curl_easy_setopt(easy, option, value);
}

/* For CURLOPT_WRITEFUNCTION and CURLOPT_HEADERFUNCTION. */
static inline CURLcode dockrion_curl_set_receiver(
    CURL *easy, CURLoption option, size_t (*receive)(char *, size_t, size_t, void *)) {
  return curl_easy_setopt(easy, option, receive);
}

/* How a finished transfer ended; `message` is what curl_multi_info_read returned with CURLMSG_DONE. */
static inline CURLcode dockrion_curl_result(const CURLMsg *message) {
  return message->data.result;
}

#endif
