"""Uses a fleet over MQTT with paho-mqtt (1.6 or 2), cbor2 and numpy: obelisk.py [host [port [user password ca.crt]]]"""
import json, queue, ssl, sys, uuid
import cbor2, numpy
import paho.mqtt.client as mqtt

BASE = "obelisk/v1"

class Obelisk:
    def __init__(self, host="127.0.0.1", port=1883, user=None, password=None, ca=None):
        versions = getattr(mqtt, "CallbackAPIVersion", None)  # paho-mqtt 2
        self.mqtt = mqtt.Client(versions.VERSION2) if versions else mqtt.Client()
        if user: self.mqtt.username_pw_set(user, password)
        if ca:  # of the fleet's authority; its certificates name the gateway, whatever its address is
            context = ssl.create_default_context(cafile=ca)
            context.check_hostname = False
            self.mqtt.tls_set_context(context)
        self.waiting, self.ready = {}, queue.Queue()
        self.mqtt.on_connect = lambda *_: self.mqtt.subscribe([(f"{BASE}/task/+/result", 1), (f"{BASE}/task/rejected", 1)])
        self.mqtt.on_subscribe = lambda *_: self.ready.put(True)
        self.mqtt.on_message = self.heard
        self.mqtt.connect(host, int(port))
        self.mqtt.loop_start()
        self.ready.get(timeout=10)

    def heard(self, _client, _userdata, message):
        answer = (json if message.topic.endswith("rejected") else cbor2).loads(message.payload)
        if answer.get("id") in self.waiting: self.waiting[answer["id"]].put(answer)

    def run(self, op, region=None, **args):
        """Runs a task once: paho sends it until it is acknowledged, always under the same id."""
        task = {"id": uuid.uuid4().hex, "op": op, "args": args}
        if region: task["region"] = dict(zip("xywh", region))
        self.waiting[task["id"]] = queue.Queue()
        self.mqtt.publish(f"{BASE}/task/submit", cbor2.dumps(task), qos=1)
        answer = self.waiting[task["id"]].get(timeout=70)
        if answer.get("state") != "completed": raise RuntimeError(answer.get("error", answer))
        return answer["value"]

    def put(self, field, x, y, cells):  # at most 65,536 in one task
        return self.run("put", (x, y, cells.shape[1], cells.shape[0]), field=field, values=cells.ravel().tolist())

    def get(self, field, x, y, w, h):
        return numpy.array(self.run("get", (x, y, w, h), fields=[field])["fields"][field]).reshape(h, w)

if __name__ == "__main__":
    fleet = Obelisk(*sys.argv[1:])
    fleet.put("value", 0, 0, numpy.arange(12.0).reshape(3, 4))
    print(fleet.get("value", 1, 1, 2, 2).tolist())
    print(fleet.run("stat", (0, 0, 4, 3), field="value"))
