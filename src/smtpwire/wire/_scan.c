/* Three functions of scan.py, which says what they mean, each in one pass.

   Nothing is kept between two calls and nothing is written but the answers. Each octet that is read
   stands in the buffer which the call holds, and so many are written at most, whatever they are: so
   a buffer that somebody else changes meanwhile gives a wrong answer at worst. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>
typedef const unsigned char *Octets;
enum { CR = '\r', LF = '\n', DOT = '.', BLOCK = 1024, LINE_DOT_SIZE = 3, END_SIZE = 5 };
static const char END_OF_DATA[] = "\r\n.\r\n";

/* The loops over a block have no exit: so the compiler makes them look at many octets at once. */
static PyObject *is_canonical(Octets octets, Py_ssize_t size)
{
    unsigned char bare = size > 0 && ((octets[0] == LF) | (octets[size - 1] == CR));
    for (Py_ssize_t at = 1; at < size; at++)
        bare |= (octets[at - 1] == CR) ^ (octets[at] == LF);
    return PyBool_FromLong(!bare);
}

/* Where the first `length` octets of END_OF_DATA stand, from `at` on, or -1. */
static inline Py_ssize_t find(Octets octets, Py_ssize_t size, Py_ssize_t at, Py_ssize_t length)
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

static PyObject *line_dots(Octets octets, Py_ssize_t size)
{
    Py_ssize_t dot = find(octets, size, 0, LINE_DOT_SIZE);
    Py_ssize_t end = dot < 0 ? -1 : find(octets, size, dot, END_SIZE);
    return Py_BuildValue("Nn", PyBool_FromLong(dot != end), end);
}

static PyObject *without_line_dots(Octets octets, Py_ssize_t size)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, size);
    if (made == NULL || size == 0)
        return made;
    char *to = PyBytes_AS_STRING(made); /* as far as `from`, less the dots */
    Octets from = octets, at = octets, end = octets + size;
    while ((at = memchr(at, LF, (size_t)(end - at))) != NULL && ++at != end)
        if (*at == DOT && at - octets >= LINE_DOT_SIZE - 1 && at[-2] == CR) {
            memcpy(to, from, (size_t)(at - from));
            to += at - from;
            from = at + 1;
        }
    memcpy(to, from, (size_t)(end - from));
    _PyBytes_Resize(&made, to - PyBytes_AS_STRING(made) + (end - from));
    return made; /* NULL where there was no room for it */
}

#define OF(function, name) static PyObject *name(PyObject *Py_UNUSED(module), PyObject *argument) \
    {                                                                                             \
        Py_buffer view;                                                                           \
        if (PyObject_GetBuffer(argument, &view, PyBUF_SIMPLE) < 0)                                \
            return NULL;                                                                          \
        PyObject *answer = function(view.buf, view.len);                                          \
        PyBuffer_Release(&view);                                                                  \
        return answer;                                                                            \
    }
OF(is_canonical, is_canonical_of)
OF(line_dots, line_dots_of)
OF(without_line_dots, without_line_dots_of)

static PyMethodDef methods[] = {
    {"is_canonical", is_canonical_of, METH_O, "See smtpwire.wire.scan.is_canonical()."},
    {"line_dots", line_dots_of, METH_O, "See smtpwire.wire.scan.line_dots()."},
    {"without_line_dots", without_line_dots_of, METH_O, "See scan.without_line_dots()."},
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

PyMODINIT_FUNC PyInit__scan(void) { return PyModuleDef_Init(&definition); }
