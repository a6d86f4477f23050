/* The questions of scan.py, which says what they mean, answered in one pass without a copy.

   Nothing here is kept between two calls and nothing is written but the answers. Each octet that is
   read stands in the buffer which the call holds, whatever the octets are: so a buffer that somebody
   else changes meanwhile gives a wrong answer at worst. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

typedef const unsigned char *Octets;

enum { CR = '\r', LF = '\n', DOT = '.', BLOCK = 1024 };

static const char END_OF_DATA[] = "\r\n.\r\n";
enum { LINE_DOT_SIZE = 3, END_SIZE = 5 }; /* of its octets: CRLF and a dot, or all */

/* The loops over a block have no exit: so the compiler makes them look at many octets at once. */

static int
canonical(Octets octets, Py_ssize_t size)
{
    if (size == 0)
        return 1;
    unsigned char bare = (octets[0] == LF) | (octets[size - 1] == CR);
    for (Py_ssize_t at = 1; at < size; at++)
        bare |= (octets[at - 1] == CR) ^ (octets[at] == LF);
    return !bare;
}

/* Where the first `length` octets of END_OF_DATA stand, from `at` on, or -1. */
static inline Py_ssize_t
find(Octets octets, Py_ssize_t size, Py_ssize_t at, Py_ssize_t length)
{
    Py_ssize_t places = size - length + 1; /* where they may begin: 0 to places - 1 */
    while (at < places) {
        Py_ssize_t stop = places - at > BLOCK ? at + BLOCK : places;
        unsigned char found = 0;
        for (Py_ssize_t i = at; i < stop; i++)
            found |= (octets[i + 1] == LF) & (octets[i + 2] == DOT)
                & (octets[i + length - 2] == (unsigned char)END_OF_DATA[length - 2]);
        for (; found && at < stop; at++)
            if (memcmp(octets + at, END_OF_DATA, (size_t)length) == 0)
                return at;
        at = stop;
    }
    return -1;
}

static PyObject *
is_canonical(PyObject *Py_UNUSED(module), PyObject *argument)
{
    Py_buffer view;
    if (PyObject_GetBuffer(argument, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    int answer = canonical(view.buf, view.len);
    PyBuffer_Release(&view);
    return PyBool_FromLong(answer);
}

static PyObject *
line_dots(PyObject *Py_UNUSED(module), PyObject *argument)
{
    Py_buffer view;
    if (PyObject_GetBuffer(argument, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    Py_ssize_t dot = find(view.buf, view.len, 0, LINE_DOT_SIZE);
    Py_ssize_t end = dot < 0 ? -1 : find(view.buf, view.len, dot, END_SIZE);
    PyBuffer_Release(&view);
    return Py_BuildValue("Nn", PyBool_FromLong(dot != end), end);
}

static PyMethodDef methods[] = {
    {"is_canonical", is_canonical, METH_O, "See smtpwire.wire.scan.is_canonical()."},
    {"line_dots", line_dots, METH_O, "See smtpwire.wire.scan.line_dots()."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "smtpwire.wire._scan", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__scan(void)
{
    return PyModuleDef_Init(&definition);
}
