/* What value.py fills values by, for a build with a C compiler: one call instead of a constructor.

   Nothing is kept between two calls. The value is filled before anybody else can see it, by its own
   slots' setters, which refuse a value of another class. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* make(class, slots, *values): a value with its slots filled, in their order. */
static PyObject *
make(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count < 2 || !PyType_Check(arguments[0]) || !PyTuple_Check(arguments[1]))
        return PyErr_Format(PyExc_TypeError, "make() takes a class, its slots and their values");
    PyTypeObject *made = (PyTypeObject *)arguments[0];
    PyObject *slots = arguments[1];
    if (PyTuple_GET_SIZE(slots) != count - 2)
        return PyErr_Format(PyExc_TypeError, "%s takes %zd values, not %zd", made->tp_name,
                            PyTuple_GET_SIZE(slots), count - 2);
    if (made->tp_new != PyBaseObject_Type.tp_new || made == &PyBaseObject_Type)
        return PyErr_Format(PyExc_TypeError, "%s is not made by make()", made->tp_name);
    PyObject *value = made->tp_alloc(made, 0);
    if (value == NULL)
        return NULL;
    for (Py_ssize_t at = 0; at < count - 2; at++) {
        PyObject *slot = PyTuple_GET_ITEM(slots, at);
        if (!Py_IS_TYPE(slot, &PyMemberDescr_Type)) {
            PyErr_SetString(PyExc_TypeError, "make() takes slots");
            Py_DECREF(value);
            return NULL;
        }
        if (Py_TYPE(slot)->tp_descr_set(slot, value, arguments[at + 2]) < 0) {
            Py_DECREF(value);
            return NULL;
        }
    }
    return value;
}

static PyMethodDef methods[] = {
    {"make", (PyCFunction)(void (*)(void))make, METH_FASTCALL, "See smtpwire.wire.value.maker()."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots_of_module[] = {
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "smtpwire.wire._make", NULL, 0, methods, slots_of_module, NULL, NULL,
    NULL};

PyMODINIT_FUNC
PyInit__make(void)
{
    return PyModuleDef_Init(&definition);
}
