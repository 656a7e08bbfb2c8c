/* A stand-in for NVIDIA's driver library, libcuda.so.1, for tests.
 *
 * What it reports comes from the environment:
 *   STUB_CAPABILITY  the compute capability of each GPU ("9.0 8.6"); unset: no GPU
 *   STUB_VERSION     the newest CUDA it supports, as the driver counts (11020)
 *   STUB_INIT        what cuInit returns instead of success
 *   STUB_HANG        where cuInit never returns: "query" (always) or "compute" (only
 *                    where the CUDA runtime is loaded, as it is with mxnet-cu112)
 * Everything that would compute answers "no device".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NO_DEVICE = 100, MAJOR = 75, MINOR = 76 };

static int gpus(void) {
    int count = 0;
    for (const char *text = getenv("STUB_CAPABILITY"); text && *text; text++)
        count += *text == '.';
    return count;
}

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

int cuDriverGetVersion(int *version) {
    *version = number("STUB_VERSION", 12040);
    return SUCCESS;
}

int cuInit(unsigned flags) {
    const char *hang = getenv("STUB_HANG");
    int computes = dlopen("libcudart.so.11.0", RTLD_NOLOAD | RTLD_LAZY) != NULL;
    while (hang && (computes || strcmp(hang, "query") == 0)) sleep(60);
    return number("STUB_INIT", gpus() ? SUCCESS : NO_DEVICE);
}

int cuDeviceGetCount(int *count) {
    *count = gpus();
    return SUCCESS;
}

int cuDeviceGet(int *device, int index) {
    *device = index;
    return gpus() ? SUCCESS : NO_DEVICE;
}

int cuDeviceGetName(char *name, int length, int device) {
    snprintf(name, length, "Stub GPU");
    return SUCCESS;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    int major = 0, minor = 0;
    const char *text = getenv("STUB_CAPABILITY");
    while (device--) text = strchr(text, ' ') + 1;
    sscanf(text, "%d.%d", &major, &minor);
    *value = attribute == MAJOR ? major : attribute == MINOR ? minor : 0;
    return SUCCESS;
}

int cuGetErrorName(int code, const char **name) {
    *name = code == 999 ? "CUDA_ERROR_UNKNOWN" : "CUDA_ERROR_OF_THE_STUB";
    return SUCCESS;
}

/* What libmxnet.so of mxnet-cu112 wants to find before it can be loaded. */
#define ABSENT(function) int function(void) { return NO_DEVICE; }
ABSENT(cuDevicePrimaryCtxRetain)
ABSENT(cuModuleLoadData)
ABSENT(cuModuleLoadDataEx)
ABSENT(cuModuleUnload)
ABSENT(cuModuleGetFunction)
ABSENT(cuLaunchKernel)
ABSENT(cuGetErrorString)
ABSENT(cuGraphNodeGetType)
ABSENT(cuGraphKernelNodeGetParams)
