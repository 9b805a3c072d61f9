#define BARRIER
#include "barrier.cu"
