from django.db import connection
from django.http import HttpResponse
from django.urls import path


def text(answer):
    return HttpResponse(answer, content_type="text/plain")


def up(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return text("ok\n")


urlpatterns = [path("", lambda request: text("Hello\n")), path("up", up)]
