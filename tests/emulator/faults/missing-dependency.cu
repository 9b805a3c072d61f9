#define NO_EVENT
#include "streams.cu"
