// 6. What ships: step 4 with one instruction for an address, the loads of three taps ahead of their use, any shape.
#include "../../plugins/native/launch.cu"
